/** The request that is edited, from the catalog's example to the bytes that are sent. */

import type { Endpoint, JsonValue } from "../../shared/api";
import { asObject, text } from "../../shared/request";

export interface Draft {
  /** The JSON body, or the text fields of an upload. */
  readonly body: { readonly [key: string]: JsonValue };
  /** The files of an upload, by their field. */
  readonly files: Readonly<Record<string, File | null>>;
  readonly isUpload: boolean;
}

/** How a field is edited. What is more than a text, a number or a choice is edited as JSON. */
export type FieldKind = "model" | "messages" | "long" | "text" | "number" | "flag" | "json";

export interface DraftField {
  readonly name: string;
  readonly kind: FieldKind;
}

const LONG_FIELDS = new Set(["input", "prompt", "instructions", "system"]);
/** Where `stream` means text that is written while one reads. */
const STREAMED = /\/(chat\/completions|completions|responses|messages)$/;
const IMPORTANT = ["model", "system", "instructions", "messages", "prompt", "input"];

/** The catalog's example, ready to be changed. Answers are streamed where they can be. */
export function draftOf(endpoint: Endpoint): Draft {
  const fields = endpoint.example?.fields ?? null;
  if (fields !== null) {
    const texts = Object.entries(fields).filter(([, value]) => !isSample(value));
    const files = Object.entries(fields).filter(([, value]) => isSample(value));
    return {
      body: Object.fromEntries(texts),
      files: Object.fromEntries(files.map(([name]) => [name, null])),
      isUpload: true,
    };
  }
  const body = endpoint.example?.body ?? {};
  const streams = endpoint.streaming && !("stream" in body) && STREAMED.test(endpoint.path);
  return { body: streams ? { ...body, stream: true } : body, files: {}, isUpload: false };
}

export function withField(draft: Draft, name: string, value: JsonValue): Draft {
  return { ...draft, body: { ...draft.body, [name]: value } };
}

export function withoutField(draft: Draft, name: string): Draft {
  return { ...draft, body: Object.fromEntries(Object.entries(draft.body).filter(([each]) => each !== name)) };
}

/** What the catalog shows as an example of a request. */
export function example(endpoint: Endpoint): Draft["body"] {
  return endpoint.example?.body ?? endpoint.example?.fields ?? {};
}

/** The fields to draw, the important ones first: those of the example. `stream` stands among the settings. */
export function fieldsOf(draft: Draft, names: readonly string[]): readonly DraftField[] {
  return Object.entries(draft.body)
    .filter(([name]) => name !== "stream" && names.includes(name))
    .map(([name, value]) => ({ name, kind: kindOf(name, value) }))
    .toSorted((a, b) => rank(a.name) - rank(b.name));
}

/** What is sent. */
export function bodyOf(draft: Draft): string | FormData {
  if (!draft.isUpload) return JSON.stringify(draft.body);
  const form = new FormData();
  for (const [name, value] of Object.entries(draft.body)) {
    form.append(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  for (const [name, file] of Object.entries(draft.files)) if (file !== null) form.append(name, file);
  return form;
}

/** A file that is still to be chosen. */
export function missingFile(draft: Draft): string | null {
  return Object.entries(draft.files).find(([, file]) => file === null)?.[0] ?? null;
}

/** The text of the last message, where a conversation ends with a plain one. */
export function lastMessage(messages: JsonValue | undefined): string | null {
  const { content } = asObject(listOf(messages).at(-1));
  return typeof content === "string" ? content : null;
}

/** The conversation with another last message. */
export function withLastMessage(messages: JsonValue | undefined, content: string): JsonValue {
  const earlier = listOf(messages);
  const role = text(asObject(earlier.at(-1))["role"]) || "user";
  return [...earlier.slice(0, -1), { role, content }];
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function kindOf(name: string, value: JsonValue): FieldKind {
  if (name === "model") return "model";
  if (name === "messages") return lastMessage(value) === null ? "json" : "messages";
  if (typeof value === "string") return LONG_FIELDS.has(name) ? "long" : "text";
  if (typeof value === "number") return "number";
  return typeof value === "boolean" ? "flag" : "json";
}

function rank(name: string): number {
  const place = IMPORTANT.indexOf(name);
  return place === -1 ? IMPORTANT.length : place;
}

function isSample(value: JsonValue): boolean {
  return typeof value === "string" && value.startsWith("@");
}

/** `response_format` → `Response format`. */
export function labelOf(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
