/** The server's programs, with what only the visitor's browser knows filled in. */

import type { CodeExample } from "./api";
import type { Language } from "./ui/highlight";

const TOKEN = "alb_YOUR_TOKEN";
const MASK = "alb_••••••••";

export interface FilledCode {
  readonly language: Language;
  /** What is copied. */
  readonly code: string;
  /** What is on the screen: of a token only its kind. */
  readonly shown: string;
}

/** A program for this origin, and with the visitor's token if that is wanted. */
export function filledIn(example: CodeExample, origin: string, token: string | null): FilledCode {
  const code = example.code.trimEnd().replaceAll("{{origin}}", origin);
  return {
    language: example.language,
    code: code.replaceAll("{{token}}", token ?? TOKEN),
    shown: code.replaceAll("{{token}}", token === null ? TOKEN : MASK),
  };
}
