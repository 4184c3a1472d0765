import { ChevronDown } from "lucide-react";
import { useState } from "react";

import type { JsonValue } from "../../shared/api";
import { Check, Field, TextArea } from "../../shared/ui/Field";
import type { Draft } from "./request";
import { Settings } from "./Settings";
import { chooseWholeAnswers, useWholeAnswers } from "./wholeAnswers";

interface MoreProps {
  readonly draft: Draft;
  readonly properties: Readonly<Record<string, JsonValue>>;
  readonly shown: readonly string[];
  readonly onChange: (draft: Draft) => void;
}

/** The other parameters, and the whole request as JSON for what has no control of its own. */
export function More({ draft, properties, shown, onChange }: MoreProps) {
  const isWhole = useWholeAnswers();
  return (
    <details className="group rounded-control border border-line">
      <summary className="flex min-h-11 cursor-pointer list-none items-center justify-between px-3 text-note font-medium [&::-webkit-details-marker]:hidden">
        More settings
        <ChevronDown
          aria-hidden="true"
          strokeWidth={1.75}
          className="size-5 text-ink3 group-open:rotate-180"
        />
      </summary>
      <div className="grid gap-5 border-t border-line p-3">
        <Settings properties={properties} shown={shown} draft={draft} onChange={onChange} />
        {draft.isUpload ? null : <AsJson draft={draft} onChange={onChange} />}
        {draft.body["stream"] === true ? (
          <Check
            label="Show answers only when complete"
            checked={isWhole}
            onChange={(event) => chooseWholeAnswers(event.target.checked)}
          />
        ) : null}
      </div>
    </details>
  );
}

function AsJson({ draft, onChange }: Pick<MoreProps, "draft" | "onChange">) {
  const [edited, setEdited] = useState<string | null>(null);
  const shown = edited ?? JSON.stringify(draft.body, null, 2);

  function edit(text: string) {
    const body = parsedObject(text);
    setEdited(text);
    if (body !== null) onChange({ ...draft, body });
  }

  return (
    <Field
      label="The whole request, as JSON"
      hint="Every parameter of the endpoint may be added here."
      error={edited !== null && parsedObject(edited) === null ? "This is not a JSON object yet." : null}
    >
      {(tied) => (
        <TextArea
          {...tied}
          spellCheck={false}
          rows={Math.min(18, shown.split("\n").length + 1)}
          value={shown}
          onChange={(event) => edit(event.target.value)}
          onBlur={() => setEdited(null)}
          className="font-mono text-meta sm:text-meta"
        />
      )}
    </Field>
  );
}

function parsedObject(text: string): Draft["body"] | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    // JSON.parse gives nothing but JSON.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return value as Draft["body"];
  } catch {
    return null;
  }
}
