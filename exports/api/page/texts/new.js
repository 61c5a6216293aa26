// Texts of the view `new`. [English, Chinese]

export const newTexts = {
};
