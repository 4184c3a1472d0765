import { useRef } from "react";

import { CopyButton } from "./CopyButton";

interface CodeBlockProps {
  /** Names the block for screen readers and on its copy button, as in "Copy request". */
  readonly name: string;
  readonly code: string;
}

/** Text to paste into a terminal, with its copy button. */
export function CodeBlock({ name, code }: CodeBlockProps) {
  const element = useRef<HTMLElement>(null);
  return (
    <div className="overflow-hidden rounded-card border border-line bg-sunken">
      <div className="flex items-center justify-between border-b border-line py-1 pr-1 pl-4">
        <span className="text-meta text-ink3">Terminal</span>
        <CopyButton name={name} text={code} source={element} />
      </div>
      {/* Focusable because it scrolls: arrow keys must reach the end of a long line. */}
      <section aria-label={name} tabIndex={0} className="overflow-x-auto px-4 py-3 -outline-offset-2">
        <pre className="w-max font-mono text-meta leading-[21px]">
          <code ref={element}>{code}</code>
        </pre>
      </section>
    </div>
  );
}
