import type { JsonValue } from "../../shared/api";
import { Field, Select, TextInput } from "../../shared/ui/Field";
import { type Draft, labelOf, withField, withoutField } from "./request";
import { type Rule, ruleOf } from "./rules";

interface SettingsProps {
  /** The JSON Schema of each parameter. */
  readonly properties: Readonly<Record<string, JsonValue>>;
  /** Those that have a field of their own. */
  readonly shown: readonly string[];
  readonly draft: Draft;
  readonly onChange: (draft: Draft) => void;
}

/** Every parameter that is one choice or one number. What is not set is not sent. */
export function Settings({ properties, shown, draft, onChange }: SettingsProps) {
  const simple = Object.entries(properties).flatMap(([name, schema]) => {
    const rule = shown.includes(name) ? null : ruleOf(schema);
    return rule === null ? [] : [{ name, rule }];
  });
  return (
    <div className="grid grid-cols-2 items-end gap-x-3 gap-y-3">
      {simple.map(({ name, rule }) => (
        <Setting
          key={name}
          name={name}
          rule={rule}
          value={draft.body[name]}
          onChange={(value) =>
            onChange(value === undefined ? withoutField(draft, name) : withField(draft, name, value))
          }
        />
      ))}
    </div>
  );
}

interface SettingProps {
  readonly name: string;
  readonly rule: Rule;
  readonly value: JsonValue | undefined;
  readonly onChange: (value: JsonValue | undefined) => void;
}

function Setting({ name, rule, value, onChange }: SettingProps) {
  return (
    <Field label={labelOf(name)}>
      {(tied) =>
        rule.kind === "number" ? (
          <TextInput
            {...tied}
            type="number"
            step={rule.whole ? 1 : "any"}
            {...(rule.min === null ? {} : { min: rule.min })}
            {...(rule.max === null ? {} : { max: rule.max })}
            placeholder={rangeText(rule.min, rule.max)}
            value={typeof value === "number" ? value : ""}
            onChange={({ target }) => onChange(target.value === "" ? undefined : target.valueAsNumber)}
          />
        ) : (
          <Select
            {...tied}
            value={typeof value === "string" || typeof value === "boolean" ? String(value) : ""}
            onChange={({ target }) => onChange(chosen(target.value, rule))}
          >
            <option value="">not set</option>
            {(rule.kind === "flag" ? ["true", "false"] : rule.options).map((option) => (
              <option key={option} value={option}>
                {option}
              </option>
            ))}
          </Select>
        )
      }
    </Field>
  );
}

function chosen(text: string, rule: Rule): JsonValue | undefined {
  if (text === "") return undefined;
  return rule.kind === "flag" ? text === "true" : text;
}

function rangeText(min: number | null, max: number | null): string {
  if (min !== null && max !== null) return `${min} to ${max}`;
  return min === null ? "" : `from ${min}`;
}
