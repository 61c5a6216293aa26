// Texts of the view `exports`. [English, Chinese]

export const exportsTexts = {
};
