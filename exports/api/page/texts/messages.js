// Texts of the view `messages`. [English, Chinese]

export const messagesTexts = {
  "channel.email": ["E-mail", "邮件"],
  "channel.wechat": ["WeChat", "微信"],
  "channel.webhook": ["Webhook", "Webhook"],
};
