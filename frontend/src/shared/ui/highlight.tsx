/** Colours of code, as React nodes: no markup is ever made of strings. Loaded when the first code is shown. */

import bash from "highlight.js/lib/languages/bash";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import { createLowlight } from "lowlight";
import type { ReactNode } from "react";

export type Language = "bash" | "python" | "javascript" | "json" | "text";

const lowlight = createLowlight({ bash, javascript, json, python });

type Node = ReturnType<typeof lowlight.highlight>["children"][number];

/** The text, its parts in spans with classes of highlight.js. */
export default function Highlighted({
  code,
  language,
}: {
  readonly code: string;
  readonly language: Language;
}) {
  if (language === "text") return code;
  return drawn(lowlight.highlight(language, code).children);
}

function drawn(nodes: readonly Node[]): ReactNode[] {
  let offset = 0;
  return nodes.map((node) => {
    const key = offset;
    offset += lengthOf(node);
    if (node.type === "text") return node.value;
    if (node.type !== "element") return null;
    const classes = node.properties["className"];
    const className = Array.isArray(classes) ? classes.join(" ") : "";
    return (
      <span key={key} className={className}>
        {drawn(node.children)}
      </span>
    );
  });
}

function lengthOf(node: Node): number {
  if (node.type === "text") return node.value.length;
  return node.type === "element" ? node.children.reduce((sum, child) => sum + lengthOf(child), 0) : 0;
}
