/** How a parameter can be set by a simple control, from its rule in the catalog. */

import type { JsonValue } from "../../shared/api";
import { asObject } from "../../shared/request";

export type Rule =
  | { readonly kind: "choice"; readonly options: readonly string[] }
  | { readonly kind: "flag" }
  | {
      readonly kind: "number";
      readonly min: number | null;
      readonly max: number | null;
      readonly whole: boolean;
    };

/** Null for what is more than one value, or any text: it is set in the JSON. */
export function ruleOf(schema: JsonValue | undefined): Rule | null {
  const { enum: values, type, minimum, maximum } = asObject(schema);
  if (Array.isArray(values)) {
    const options = values.filter((value): value is string => typeof value === "string");
    return options.length > 1 && options.length === values.length ? { kind: "choice", options } : null;
  }
  if (type === "boolean") return { kind: "flag" };
  if (type !== "integer" && type !== "number") return null;
  return { kind: "number", min: numberOr(minimum), max: numberOr(maximum), whole: type === "integer" };
}

function numberOr(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
