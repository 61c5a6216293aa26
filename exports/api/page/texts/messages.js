// Texts of the view `messages`. [English, Chinese]

export const messagesTexts = {
};
