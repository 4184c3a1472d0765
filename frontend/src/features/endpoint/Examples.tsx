import { useState } from "react";

import type { CodeExample } from "../../shared/api";
import { filledIn } from "../../shared/code";
import { CodeBlock } from "../../shared/ui/CodeBlock";
import { keepLanguage, keptLanguage } from "./language";

interface ExamplesProps {
  readonly examples: readonly CodeExample[];
  readonly origin: string;
  /** A token that is kept in this browser, if there is one. */
  readonly token: string | null;
}

/** Programs that call this endpoint, of which one is shown. The choice is remembered for all endpoints. */
export function Examples({ examples, origin, token }: ExamplesProps) {
  const [chosen, setChosen] = useState(keptLanguage);
  const [usesToken, setUsesToken] = useState(false);
  const example = examples.find(({ id }) => id === chosen) ?? examples[0];
  if (example === undefined) return null;
  const needsToken = example.code.includes("{{token}}");
  const { code, shown, language } = filledIn(example, origin, usesToken ? token : null);

  function choose(id: string) {
    keepLanguage(id);
    setChosen(id);
  }

  return (
    <div className="grid gap-4">
      <div role="group" aria-label="Program" className="flex flex-wrap gap-2">
        {examples.map(({ id, title }) => (
          <button
            key={id}
            type="button"
            aria-pressed={id === example.id}
            onClick={() => choose(id)}
            className="min-h-9 rounded-control border border-line px-3 text-note text-ink2 hover:bg-sunken hover:text-ink aria-pressed:border-ink aria-pressed:font-medium aria-pressed:text-ink"
          >
            {title}
          </button>
        ))}
      </div>
      <CodeBlock
        name={`${example.title} example`}
        code={code}
        shown={shown}
        language={language}
        action={
          needsToken && token !== null ? (
            <button
              type="button"
              aria-pressed={usesToken}
              onClick={() => setUsesToken(!usesToken)}
              className="h-9 rounded-control px-3 text-meta font-medium text-ink2 hover:bg-line/60 hover:text-ink aria-pressed:text-accentink"
            >
              Use my token
            </button>
          ) : null
        }
      />
      <p className="text-note text-ink2">
        Needs <code className="font-mono text-meta">{example.needs}</code>.{" "}
        {needsToken ? "The token comes from Top up." : "No account, no key: it pays for this one call."}
      </p>
    </div>
  );
}
