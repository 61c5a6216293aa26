// Stands in for the object `wx` of a mini-program, as far as docs/clients.md uses it, in Node.js.
import { writeFile } from "node:fs/promises";

globalThis.wx = {
  async request({ url, method = "GET", header = {}, data, success, fail = console.error }) {
    try {
      const answer = await fetch(url, {
        method,
        headers: { "content-type": "application/json", ...header },
        body: data && JSON.stringify(data),
      });
      const text = await answer.text();
      success({
        statusCode: answer.status,
        data: text && JSON.parse(text),
        header: Object.fromEntries(answer.headers),
      });
    } catch (error) {
      fail(error);
    }
  },
  async downloadFile({ url, success, fail = console.error }) {
    try {
      const answer = await fetch(url);
      await writeFile("downloaded", new Uint8Array(await answer.arrayBuffer()));
      success({ statusCode: answer.status, tempFilePath: "downloaded" });
    } catch (error) {
      fail(error);
    }
  },
  openDocument: ({ filePath, fileType }) => console.log("opened", filePath, fileType),
  showToast: ({ title }) => console.error(title),
};
