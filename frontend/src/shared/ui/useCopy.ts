import { type RefObject, useEffect, useState } from "react";

const SAID_FOR_MS = 2_000;

export type CopyOutcome = "idle" | "copied" | "refused";

/** Copies a text; what came of it is known for two seconds. Where the browser refuses, the text on the page is selected. */
export function useCopy(text: string, source?: RefObject<HTMLElement | null>) {
  const [outcome, setOutcome] = useState<CopyOutcome>("idle");

  useEffect(() => {
    if (outcome === "idle") return undefined;
    const timer = setTimeout(() => setOutcome("idle"), SAID_FOR_MS);
    return () => clearTimeout(timer);
  }, [outcome]);

  async function copy(): Promise<boolean> {
    try {
      await navigator.clipboard.writeText(text);
      setOutcome("copied");
      return true;
    } catch {
      // Not allowed, or not a secure context, where there is no clipboard at all.
      select(source?.current ?? null);
      setOutcome("refused");
      return false;
    }
  }

  return { outcome, copy };
}

function select(element: HTMLElement | null): void {
  if (element instanceof HTMLInputElement) element.select();
  else if (element !== null) getSelection()?.selectAllChildren(element);
}
