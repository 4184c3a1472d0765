import type { Endpoint, JsonValue, Model } from "../../shared/api";
import { priceInSats } from "../../shared/money";
import { Check, Field, Select, TextArea, TextInput } from "../../shared/ui/Field";
import { More } from "./More";
import {
  type Draft,
  type DraftField,
  example,
  fieldsOf,
  labelOf,
  lastMessage,
  withField,
  withLastMessage,
} from "./request";
import { type Rule, ruleOf } from "./rules";

interface RequestFormProps {
  readonly endpoint: Endpoint;
  readonly draft: Draft;
  /** The JSON Schema of each parameter, empty until it is there. */
  readonly properties: Readonly<Record<string, JsonValue>>;
  readonly onChange: (draft: Draft) => void;
}

/** The request as fields, and all of it as JSON for whoever wants more. */
export function RequestForm({ endpoint, draft, properties, onChange }: RequestFormProps) {
  const fields = fieldsOf(draft, Object.keys(example(endpoint)));
  return (
    <div className="grid gap-4">
      {fields.map((field) => (
        <OneField
          key={field.name}
          field={field}
          rule={field.kind === "text" ? ruleOf(properties[field.name]) : null}
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
      <More
        draft={draft}
        properties={properties}
        shown={fields.map(({ name }) => name)}
        onChange={onChange}
      />
    </div>
  );
}

interface OneFieldProps {
  readonly field: DraftField;
  readonly rule: Rule | null;
  readonly endpoint: Endpoint;
  readonly value: JsonValue | undefined;
  readonly onChange: (value: JsonValue) => void;
}

function OneField({ field: { name, kind }, rule, endpoint, value, onChange }: OneFieldProps) {
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
      if (rule?.kind === "choice")
        return (
          <ChoiceField name={name} options={rule.options} value={valueText(value)} onChange={onChange} />
        );
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

interface ChoiceFieldProps {
  readonly name: string;
  readonly options: readonly string[];
  readonly value: string;
  readonly onChange: (value: JsonValue) => void;
}

function ChoiceField({ name, options, value, onChange }: ChoiceFieldProps) {
  return (
    <Field label={labelOf(name)}>
      {(tied) => (
        <Select {...tied} value={value} onChange={(event) => onChange(event.target.value)}>
          {options.map((option) => (
            <option key={option}>{option}</option>
          ))}
        </Select>
      )}
    </Field>
  );
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
          {endpoint.models.map((model) => (
            <option key={model.id} value={model.id}>
              {modelText(model)}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}

function modelText({ id, paused, typical_price_msat: typical }: Model): string {
  if (paused) return `${id} (paused)`;
  return typical === null ? id : `${id} (typically ${satsText(typical)})`;
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

/** A field's value in its input. */
function valueText(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? "");
}
