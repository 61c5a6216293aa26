// What a person is told of an error, by its code, and what to do. [English, Chinese]
// For a code that is not here, the page shows the sentence of the API, which is English.

export const errorTexts = {
  "error.OFFLINE": ["The service does not answer. Try again in a moment.", "服务没有响应，请稍后重试。"],
  "error.E_RATE": ["You have asked too often. Wait a little.", "请求过于频繁，请稍候。"],
  "error.E_NOT_FOUND": ["There is no such export, or it is not yours.", "此导出不存在，或不属于您。"],
};
