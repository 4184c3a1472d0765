import { type RefObject, useEffect, useState } from "react";

const SAID_FOR_MS = 2_000;

type Outcome = "idle" | "copied" | "refused";

const SAYS: Record<Outcome, string> = { idle: "Copy", copied: "Copied", refused: "Press Ctrl+C" };

interface CopyButtonProps {
  readonly name: string;
  readonly text: string;
  /** Where the text stands on the page: selected when the browser refuses the clipboard. */
  readonly source: RefObject<HTMLElement | null>;
}

/** Copies a text and says so in its own place. */
export function CopyButton({ name, text, source }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<Outcome>("idle");

  useEffect(() => {
    if (outcome === "idle") return undefined;
    const timer = setTimeout(() => setOutcome("idle"), SAID_FOR_MS);
    return () => clearTimeout(timer);
  }, [outcome]);

  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setOutcome("copied");
    } catch {
      // Not allowed, or not a secure context, where there is no clipboard at all.
      if (source.current !== null) getSelection()?.selectAllChildren(source.current);
      setOutcome("refused");
    }
  }

  return (
    <>
      <button
        type="button"
        onClick={() => void copy()}
        className="h-9 min-w-16 rounded-control px-3 text-meta font-medium text-ink2 hover:bg-line/60 hover:text-ink"
      >
        {SAYS[outcome]}
        <span className="sr-only">{` ${name}`}</span>
      </button>
      <span role="status" className="sr-only">
        {outcome === "idle" ? "" : SAYS[outcome]}
      </span>
    </>
  );
}
