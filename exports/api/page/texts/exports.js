// Texts of the view `exports`, and of a card. [English, Chinese]

export const exportsTexts = {
  "params.one": ["{name}: {value}", "{name}：{value}"],
  "params.columns": ["only {names}", "仅含 {names}"],

  "stage.queued": ["Waiting to start", "等待开始"],
  "stage.aggregate": ["Reading", "正在读取"],
  "stage.upload": ["Writing the file", "正在生成文件"],
  "stage.writeback": ["Finishing", "即将完成"],
  "stage.finished": ["Finishing", "即将完成"],
  "waits.database": ["Waits for the database of this service, which does not answer. It goes on by itself.", "本服务的数据库没有响应，恢复后会自动继续。"],
  "waits.source": ["Waits for the database with the data, which does not answer. It goes on by itself.", "数据源没有响应，恢复后会自动继续。"],
  "waits.store": ["Waits for the file storage, which does not answer. It goes on by itself.", "文件存储没有响应，恢复后会自动继续。"],
  "waits.temporal": ["Waits for the scheduler, which does not answer. It goes on by itself.", "调度服务没有响应，恢复后会自动继续。"],

  "export.rows": [{ one: "{count} row so far", other: "{count} rows so far" }, "已处理 {count} 行"],
  "export.rows-of": ["{rows} of {total} rows", "{rows} / {total} 行"],
  "export.rows-about": ["{rows} of about {total} rows", "{rows} / 约 {total} 行"],
  "export.next-attempt": ["Attempt {number} of {most} in {time}.", "{time}后进行第 {number} 次尝试（共 {most} 次）。"],
  "export.next-attempt-now": ["Attempt {number} of {most} starts now.", "即将进行第 {number} 次尝试（共 {most} 次）。"],

  "export.download": ["Download", "下载"],
  "export.retry": ["Try again", "重试"],
  "export.again": ["Export again", "重新导出"],
  "export.cancel": ["Cancel", "取消"],
  "export.cancel-title": ["Cancel this export?", "取消此导出？"],
  "export.cancel-what": ["{name}. What it has made so far is removed.", "{name}。已生成的内容将被删除。"],
  "export.cancel-reason": ["Reason", "原因"],
  "export.cancel-hint": ["Others who see this export can read it.", "能看到此导出的人可以看到原因。"],
  "export.cancel-yes": ["Cancel the export", "取消导出"],
  "export.cancel-no": ["Keep it running", "继续导出"],
  "export.cancelling": ["Cancelling …", "正在取消……"],
  "export.cancel-late": ["It has ended in the meantime. There is nothing to cancel.", "此导出已经结束，无需取消。"],

  "export.no-name": ["File without a name", "未命名文件"],
  "export.link-good": ["Link good for {time}", "链接 {time}内有效"],
  "export.link-over": ["Download makes a new link.", "点击下载会生成新链接。"],
  "export.link-over-until": ["Download makes a new link. The file is kept until {time}.", "点击下载会生成新链接，文件保留至 {time}。"],
  "export.cancelled": ["It was stopped, and nothing is left of it.", "已停止，未保留任何内容。"],
  "export.cancelled-why": ["It was stopped: {reason}", "已停止：{reason}"],
  "export.expired": ["The file has been removed.", "文件已删除。"],
};
