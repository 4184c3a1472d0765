import type { RefObject } from "react";

import { Button } from "./Button";
import { type CopyOutcome, useCopy } from "./useCopy";

const SAYS: Record<CopyOutcome, string> = { idle: "Copy", copied: "Copied", refused: "Press Ctrl+C" };

interface CopyButtonProps {
  /** What is copied, for screen readers: `Copy request`. */
  readonly name: string;
  readonly text: string;
  /** Where the text stands on the page: selected when the browser refuses the clipboard. */
  readonly source: RefObject<HTMLElement | null>;
}

/** Copies a text and says so in its own place. */
export function CopyButton({ name, text, source }: CopyButtonProps) {
  const { outcome, copy } = useCopy(text, source);
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
      <CopyStatus outcome={outcome} />
    </>
  );
}

interface CopyTextButtonProps extends CopyButtonProps {
  readonly className?: string;
  readonly onCopied?: () => void;
}

/** The same as a full button that names what it copies: `Copy invoice`. */
export function CopyTextButton({ name, text, source, className = "", onCopied }: CopyTextButtonProps) {
  const { outcome, copy } = useCopy(text, source);
  return (
    <>
      <Button
        onClick={() => void copy().then((done) => (done ? onCopied?.() : undefined))}
        className={className}
      >
        {outcome === "idle" ? `Copy ${name}` : SAYS[outcome]}
      </Button>
      <CopyStatus outcome={outcome} />
    </>
  );
}

function CopyStatus({ outcome }: { readonly outcome: CopyOutcome }) {
  return (
    <span role="status" className="sr-only">
      {outcome === "idle" ? "" : SAYS[outcome]}
    </span>
  );
}
