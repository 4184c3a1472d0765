import { Suspense, lazy, useEffect, useState } from "react";

import type { Answer } from "./answer";

const Markdown = lazy(() => import("./Markdown"));

/** What came back: text, pictures, a sound, or JSON. */
export function AnswerView({ answer }: { readonly answer: Answer }) {
  const { text, pictures, sound, json, error } = answer;
  const isPlain = text === "" && pictures.length === 0 && sound === null;
  return (
    <div className="grid min-w-0 gap-4">
      {text === "" ? null : (
        <Suspense fallback={<p className="whitespace-pre-wrap wrap-anywhere">{text}</p>}>
          <Markdown text={text} />
        </Suspense>
      )}
      {pictures.map(({ source, prompt }) => (
        <img
          key={source.slice(-64)}
          src={source}
          alt={prompt || "What was asked for"}
          className="max-h-[512px] w-fit max-w-full rounded-control border border-line"
        />
      ))}
      {sound === null ? null : <Sound sound={sound} />}
      {error === null ? null : <p className="text-note text-bad">{error}</p>}
      {json === null ? null : <Json json={json} open={isPlain} />}
    </div>
  );
}

const EXTENSIONS: Readonly<Record<string, string>> = {
  "audio/mpeg": "mp3",
  "audio/wav": "wav",
  "audio/x-wav": "wav",
  "audio/opus": "opus",
  "audio/ogg": "ogg",
  "audio/aac": "aac",
  "audio/flac": "flac",
};

function Sound({ sound }: { readonly sound: Blob }) {
  const [source, setSource] = useState<string | null>(null);
  useEffect(() => {
    const made = URL.createObjectURL(sound);
    // The address belongs to the browser, and is made and given back with the component.
    // oxlint-disable-next-line react/set-state-in-effect
    setSource(made);
    return () => URL.revokeObjectURL(made);
  }, [sound]);
  if (source === null) return null;
  return (
    <div className="flex flex-wrap items-center gap-4">
      {/* What it says is the text that was sent. */}
      {/* oxlint-disable-next-line jsx-a11y/media-has-caption */}
      <audio controls src={source} aria-label="The answer as sound" className="w-full max-w-md" />
      <a
        href={source}
        download={`answer.${EXTENSIONS[sound.type] ?? "audio"}`}
        className="text-note underline underline-offset-4"
      >
        Download
      </a>
    </div>
  );
}

const SHOWN_STRING_CHARACTERS = 200;

function Json({ json, open }: { readonly json: unknown; readonly open: boolean }) {
  const shown = JSON.stringify(json, shortened, 2);
  return (
    <details open={open} className="min-w-0">
      <summary className="min-h-6 cursor-pointer text-note text-ink2">The answer as JSON</summary>
      <section
        aria-label="JSON"
        tabIndex={0}
        className="mt-2 max-h-96 overflow-auto rounded-control bg-sunken p-3"
      >
        <pre className="font-mono text-meta">{shown}</pre>
      </section>
    </details>
  );
}

/** Pictures and vectors would fill the page: long texts and lists are cut. */
function shortened(_key: string, value: unknown): unknown {
  if (typeof value === "string" && value.length > SHOWN_STRING_CHARACTERS * 10) {
    return `${value.slice(0, SHOWN_STRING_CHARACTERS)}… ${value.length} characters`;
  }
  if (Array.isArray(value) && value.length > 40 && value.every((item) => typeof item === "number")) {
    return [...value.slice(0, 8), `… ${value.length} numbers`];
  }
  return value;
}
