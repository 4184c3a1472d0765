/** What came back, as it is shown. */

import { asObject, text } from "../../shared/request";
import { EventReader } from "./sse";

export interface Answer {
  /** Markdown as it was written so far. */
  readonly text: string;
  readonly pictures: readonly Picture[];
  /** A sound to play. */
  readonly sound: Blob | null;
  /** The answer as JSON, where it is that. */
  readonly json: unknown;
  /** What an in-band error said. */
  readonly error: string | null;
}

export interface Picture {
  /** An address that the page may show: data: or blob:. */
  readonly source: string;
  readonly prompt: string;
}

export const NO_ANSWER: Answer = { text: "", pictures: [], sound: null, json: null, error: null };

/** Reads an answer to its end; `onUpdate` gets it as far as it has come. */
export async function readAnswer(response: Response, onUpdate: (answer: Answer) => void): Promise<Answer> {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("text/event-stream")) return readStream(response, onUpdate);
  if (type.startsWith("audio/")) return { ...NO_ANSWER, sound: await response.blob() };
  if (type.includes("json")) return fromJson(await response.json());
  return { ...NO_ANSWER, text: await response.text() };
}

/** An answer that came as one JSON document, of whatever endpoint. */
export function fromJson(json: unknown): Answer {
  return { ...NO_ANSWER, json, text: textIn(json), pictures: picturesIn(json) };
}

/** What an event of a stream adds. */
export function withEvent(answer: Answer, data: string): Answer {
  if (data === "[DONE]") return answer;
  let event: Readonly<Record<string, unknown>>;
  try {
    event = asObject(JSON.parse(data));
  } catch {
    return answer;
  }
  if (event["error"] !== undefined && event["error"] !== null) {
    return {
      ...answer,
      error: text(asObject(event["error"])["message"]) || "The stream ended with an error.",
    };
  }
  const picture = text(event["b64_json"]);
  if (picture !== "") return { ...answer, pictures: [dataPicture(picture, "png", "")] };
  const added = deltaOf(event);
  return added === "" ? answer : { ...answer, text: answer.text + added };
}

async function readStream(response: Response, onUpdate: (answer: Answer) => void): Promise<Answer> {
  const [events, sound] = [new EventReader(), [] as Uint8Array<ArrayBuffer>[]];
  let answer = NO_ANSWER;
  const reader = response.body?.getReader();
  for (let piece = await reader?.read(); piece?.value !== undefined; piece = await reader?.read()) {
    for (const data of events.feed(piece.value)) {
      const audio = audioIn(data);
      if (audio === null) answer = withEvent(answer, data);
      else sound.push(audio);
    }
    onUpdate(answer);
  }
  return sound.length === 0 ? answer : { ...answer, sound: new Blob(sound) };
}

/** Chat, the older completions, responses, transcriptions and messages each name their next words differently. */
function deltaOf(event: Readonly<Record<string, unknown>>): string {
  const choice = asObject(asList(event["choices"])[0]);
  const delta = event["delta"];
  if (typeof delta === "string") return isOutputText(text(event["type"])) ? delta : "";
  return text(asObject(choice["delta"])["content"]) || text(choice["text"]) || text(asObject(delta)["text"]);
}

function isOutputText(type: string): boolean {
  return type === "response.output_text.delta" || type === "transcript.text.delta";
}

function audioIn(data: string): Uint8Array<ArrayBuffer> | null {
  if (!data.includes("audio.delta")) return null;
  try {
    const encoded = text(asObject(JSON.parse(data))["audio"]);
    return encoded === "" ? null : Uint8Array.from(atob(encoded), (letter) => letter.codePointAt(0) ?? 0);
  } catch {
    return null;
  }
}

function textIn(json: unknown): string {
  const body = asObject(json);
  const message = asObject(asObject(asList(body["choices"])[0])["message"]);
  if (text(message["content"]) !== "") return text(message["content"]);
  const parts = [
    ...asList(body["output"]).flatMap((item) => asList(asObject(item)["content"])),
    ...asList(body["content"]),
  ];
  const texts = parts.map((part) => text(asObject(part)["text"])).filter(Boolean);
  return texts.length > 0 ? texts.join("\n\n") : text(body["text"]);
}

function picturesIn(json: unknown): readonly Picture[] {
  const body = asObject(json);
  const format = text(body["output_format"]) || "png";
  return asList(body["data"]).flatMap((item) => {
    const encoded = text(asObject(item)["b64_json"]);
    return encoded === "" ? [] : [dataPicture(encoded, format, text(asObject(item)["revised_prompt"]))];
  });
}

function dataPicture(encoded: string, format: string, prompt: string): Picture {
  return { source: `data:image/${format};base64,${encoded}`, prompt };
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
