/** The rules of a body as lines to read: JSON Schema in words. */

import type { FileField, JsonValue, Parameters } from "../../shared/api";

export interface Line {
  readonly name: string;
  readonly required: boolean;
  readonly type: string;
  readonly limit: string;
  /** What it has to do with the price; empty where it has nothing. */
  readonly price: string;
  /** What is sent to the provider in place of it; empty where it is sent as it is. */
  readonly sentAs: string;
}

type Schema = { readonly [key: string]: JsonValue };

const MAX_CHOICES = 8;

/** Every field that may be sent: those that must be first, the others in the operator's order. */
export function linesOf(parameters: Parameters): Line[] {
  const names = Object.keys(parameters.properties);
  const required = names.filter((name) => parameters.required.includes(name));
  const optional = names.filter((name) => !parameters.required.includes(name));
  const files = Object.entries(parameters.files).map(([name, file]) => fileLine(name, file));
  const fields = [...required, ...optional].map((name) => {
    const schema = asSchema(parameters.properties[name]);
    return {
      name,
      required: parameters.required.includes(name),
      type: typeOf(schema),
      limit: limitOf(schema),
      price: priceOf(name, parameters),
      sentAs: sentAsOf(name, parameters),
    };
  });
  return [...files.filter((line) => line.required), ...fields, ...files.filter((line) => !line.required)];
}

function fileLine(name: string, { kind, required, max_count, max_bytes }: FileField): Line {
  const size = `at most ${Math.floor(max_bytes / 1_048_576)} MB`;
  const limit = max_count === 1 ? size : `at most ${max_count} files, each ${size}`;
  const price = kind === "audio" ? "its length is paid" : "its size is paid";
  return { name, required, type: `${kind} file`, limit, price, sentAs: "" };
}

/** `string`, `array of object`, `string or array`, `one of`. */
export function typeOf(schema: Schema): string {
  if (schema["enum"] !== undefined) return "one of";
  if (schema["const"] !== undefined) return "always";
  const types = listOf(schema["type"]).filter((type) => type !== "null");
  const names = types.map((type) => (type === "array" ? arrayOf(schema) : worded(type)));
  return names.length === 0 ? "any" : names.join(" or ");
}

/** `0 to 2`, `at most 64 characters`, `auto, default`: what a value may be beyond its type. */
export function limitOf(schema: Schema): string {
  const choices = listOf(schema["enum"]);
  if (choices.length > 0) {
    const shown = choices.slice(0, MAX_CHOICES).map(worded).join(", ");
    return choices.length > MAX_CHOICES ? `${shown}, …` : shown;
  }
  if (schema["const"] !== undefined) return worded(schema["const"]);
  return [
    range(schema["minimum"], schema["maximum"]),
    most(schema["maxLength"], "characters"),
    most(schema["maxItems"], "items"),
    most(schema["maxProperties"], "entries"),
  ]
    .filter(Boolean)
    .join(", ");
}

function priceOf(name: string, { output_cap: caps, answers }: Parameters): string {
  if (name === "model") return "chooses the price";
  if (caps.includes(name)) return "bounds the most it can cost";
  if (name === answers) return "each answer is paid";
  return "";
}

function sentAsOf(name: string, { forced, replaced, dropped }: Parameters): string {
  if (dropped.includes(name)) return "not sent on";
  if (replaced.includes(name)) return "sent as a keyed hash of your account";
  return Object.hasOwn(forced, name) ? `always sent as ${worded(forced[name])}` : "";
}

function arrayOf(schema: Schema): string {
  const items = asSchema(schema["items"]);
  const inner = items["type"] === undefined ? "" : typeOf(items);
  return inner === "" || inner === "any" ? "array" : `array of ${inner}`;
}

function range(least: JsonValue | undefined, greatest: JsonValue | undefined): string {
  if (typeof least === "number" && typeof greatest === "number") return `${least} to ${greatest}`;
  if (typeof least === "number") return `at least ${least}`;
  return typeof greatest === "number" ? `at most ${greatest}` : "";
}

function most(limit: JsonValue | undefined, noun: string): string {
  return typeof limit === "number" ? `at most ${limit} ${noun}` : "";
}

function worded(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

function asSchema(value: JsonValue | undefined): Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}
