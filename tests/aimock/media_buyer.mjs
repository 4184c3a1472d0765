// The official JavaScript SDK buys sound and pictures: one JSON line of what it got for each.
import { createReadStream, readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [origin, token, recording, picture] = process.argv.slice(2);
const require = createRequire(process.env.SDK_FOLDER + "/");
const { OpenAI, toFile } = require("openai");
const shop = new OpenAI({ baseURL: `${origin}/v1`, apiKey: token, maxRetries: 0 });
const tell = (what) => console.log(JSON.stringify(what));

const speech = await shop.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Hello there" });
tell(Buffer.from(await speech.arrayBuffer()).toString("base64"));

const heard = await shop.audio.transcriptions.create({ model: "gpt-transcribe", file: createReadStream(recording) });
tell(heard.text);

let streamed = "";
const events = await shop.audio.transcriptions.create({
  model: "gpt-transcribe",
  file: createReadStream(recording),
  stream: true,
});
for await (const event of events) if (event.type === "transcript.text.delta") streamed += event.delta;
tell(streamed);

const translated = await shop.audio.translations.create({ model: "whisper-1", file: createReadStream(recording) });
tell(translated.text);

const drawing = { model: "gpt-image-2", prompt: "A bitcoin", size: "1024x1024", quality: "low" };
tell((await shop.images.generate(drawing)).data.map((image) => image.b64_json));

const image = await toFile(readFileSync(picture), "picture.png", { type: "image/png" });
tell((await shop.images.edit({ ...drawing, image: [image, image] })).data.map((each) => each.b64_json));
