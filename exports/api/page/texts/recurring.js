// Texts of the view `recurring`. [English, Chinese]

export const recurringTexts = {
};
