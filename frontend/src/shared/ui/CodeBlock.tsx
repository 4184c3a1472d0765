import { type ReactNode, Suspense, lazy, useRef } from "react";

import { CopyButton } from "./CopyButton";
import type { Language } from "./highlight";

const Highlighted = lazy(() => import("./highlight"));

const TITLES: Readonly<Record<Language, string>> = {
  bash: "Terminal",
  python: "Python",
  javascript: "JavaScript",
  json: "JSON",
  text: "Text",
};

interface CodeBlockProps {
  /** Names the block for screen readers and on its copy button, as in "Copy request". */
  readonly name: string;
  readonly code: string;
  readonly language?: Language;
  /** Shown in place of some of the code, as dots for a token; what is copied stays whole. */
  readonly shown?: string;
  /** Beside the copy button. */
  readonly action?: ReactNode;
}

/** Text to copy into a program or a terminal. */
export function CodeBlock({ name, code, language = "bash", shown = code, action }: CodeBlockProps) {
  const element = useRef<HTMLElement>(null);
  return (
    <div className="min-w-0 overflow-hidden rounded-card border border-line bg-sunken">
      <div className="flex items-center border-b border-line py-1 pr-1 pl-4">
        <span className="mr-auto text-meta text-ink3">{TITLES[language]}</span>
        {action}
        <CopyButton name={name} text={code} source={element} />
      </div>
      {/* Focusable because it scrolls: arrow keys must reach the end of a long line. */}
      <section aria-label={name} tabIndex={0} className="overflow-x-auto px-4 py-3 -outline-offset-2">
        <pre className="w-max font-mono text-meta leading-[21px]">
          <code ref={element}>
            <Suspense fallback={shown}>
              <Highlighted code={shown} language={language} />
            </Suspense>
          </code>
        </pre>
      </section>
    </div>
  );
}
