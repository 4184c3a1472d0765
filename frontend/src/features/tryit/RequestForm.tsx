import { useState } from "react";

import type { Endpoint, JsonValue } from "../../shared/api";
import { priceInSats } from "../../shared/money";
import { Check, Field, Select, TextArea, TextInput } from "../../shared/ui/Field";
import { type Draft, type DraftField, fieldsOf, lastMessage, withField, withLastMessage } from "./request";

interface RequestFormProps {
  readonly endpoint: Endpoint;
  readonly draft: Draft;
  readonly onChange: (draft: Draft) => void;
}

/** The request as fields, and all of it as JSON for whoever wants more. */
export function RequestForm({ endpoint, draft, onChange }: RequestFormProps) {
  return (
    <div className="grid gap-4">
      {fieldsOf(draft).map((field) => (
        <OneField
          key={field.name}
          field={field}
          endpoint={endpoint}
          value={draft.body[field.name]}
          onChange={(value) => onChange(withField(draft, field.name, value))}
        />
      ))}
      {Object.keys(draft.files).map((name) => (
        <FileField
          key={name}
          name={name}
          onChange={(file) => onChange({ ...draft, files: { ...draft.files, [name]: file } })}
        />
      ))}
      {draft.isUpload ? null : <More endpoint={endpoint} draft={draft} onChange={onChange} />}
    </div>
  );
}

interface OneFieldProps {
  readonly field: DraftField;
  readonly endpoint: Endpoint;
  readonly value: JsonValue | undefined;
  readonly onChange: (value: JsonValue) => void;
}

function OneField({ field: { name, kind }, endpoint, value, onChange }: OneFieldProps) {
  switch (kind) {
    case "model":
      return <ModelField endpoint={endpoint} value={valueText(value)} onChange={onChange} />;
    case "messages":
      return (
        <Field label="Message">
          {(tied) => (
            <TextArea
              {...tied}
              value={lastMessage(value) ?? ""}
              onChange={(event) => onChange(withLastMessage(value, event.target.value))}
            />
          )}
        </Field>
      );
    case "long":
      return (
        <Field label={labelOf(name)}>
          {(tied) => (
            <TextArea {...tied} value={valueText(value)} onChange={(event) => onChange(event.target.value)} />
          )}
        </Field>
      );
    case "text":
      return (
        <Field label={labelOf(name)}>
          {(tied) => (
            <TextInput
              {...tied}
              value={valueText(value)}
              onChange={(event) => onChange(event.target.value)}
            />
          )}
        </Field>
      );
    case "number":
      return (
        <Field label={labelOf(name)}>
          {(tied) => (
            <TextInput
              {...tied}
              type="number"
              step="any"
              value={valueText(value)}
              onChange={(event) => onChange(event.target.valueAsNumber || 0)}
            />
          )}
        </Field>
      );
    case "flag":
      return (
        <Check
          label={labelOf(name)}
          checked={value === true}
          onChange={(event) => onChange(event.target.checked)}
        />
      );
    case "json":
      return null; // It is in the JSON below.
    default:
      return kind satisfies never;
  }
}

interface ModelFieldProps {
  readonly endpoint: Endpoint;
  readonly value: string;
  readonly onChange: (value: JsonValue) => void;
}

function ModelField({ endpoint, value, onChange }: ModelFieldProps) {
  return (
    <Field label="Model">
      {(tied) => (
        <Select {...tied} value={value} onChange={(event) => onChange(event.target.value)}>
          {endpoint.models.map(({ id, typical_price_msat }) => (
            <option key={id} value={id}>
              {typical_price_msat === null ? id : `${id} (typically ${satsText(typical_price_msat)})`}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}

function satsText(msat: number): string {
  const { amount, unit } = priceInSats(msat);
  return `${amount} ${unit}`;
}

interface FileFieldProps {
  readonly name: string;
  readonly onChange: (file: File | null) => void;
}

function FileField({ name, onChange }: FileFieldProps) {
  return (
    <Field label={labelOf(name)}>
      {(tied) => (
        <input
          {...tied}
          type="file"
          onChange={(event) => onChange(event.target.files?.[0] ?? null)}
          className="min-h-11 w-full text-note file:mr-3 file:h-11 file:cursor-pointer file:rounded-control file:border file:border-solid file:border-edge file:bg-surface file:px-4 file:font-medium file:text-ink"
        />
      )}
    </Field>
  );
}

function More({ draft, onChange }: RequestFormProps) {
  const [edited, setEdited] = useState<string | null>(null);
  const shown = edited ?? JSON.stringify(draft.body, null, 2);

  function edit(text: string) {
    const body = parsedObject(text);
    setEdited(text);
    if (body !== null) onChange({ ...draft, body });
  }

  return (
    <details className="rounded-control border border-line">
      <summary className="flex min-h-11 cursor-pointer items-center px-3 text-note font-medium">
        More settings, as JSON
      </summary>
      <div className="border-t border-line p-3">
        <Field
          label="The whole request"
          hint="Every parameter in the table may be added here."
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
      </div>
    </details>
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

/** `response_format` → `Response format`. */
function labelOf(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A field's value in its input. */
function valueText(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? "");
}
