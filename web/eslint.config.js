import js from "@eslint/js";
import tseslint from "typescript-eslint";

export default tseslint.config({ ignores: ["node_modules"] }, js.configs.recommended, {
  files: ["**/*.ts"],
  extends: [tseslint.configs.strictTypeChecked],
  languageOptions: { parserOptions: { projectService: true } },
  rules: {
    "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    // names and texts of films go into text nodes only
    "no-restricted-properties": [
      "error",
      { property: "innerHTML", message: "Use textContent." },
      { property: "outerHTML", message: "Use textContent." },
      { property: "insertAdjacentHTML", message: "Use textContent." },
    ],
  },
});
