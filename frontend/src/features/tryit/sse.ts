/** Server-sent events out of pieces of bytes. Lines end at `\n` alone: U+2028 inside of JSON is no line end. */

export class EventReader {
  private readonly decoder = new TextDecoder();
  private rest = "";

  /** The `data` of each event that is complete now. */
  feed(piece: Uint8Array): string[] {
    this.rest += this.decoder.decode(piece, { stream: true });
    const events = this.rest.replaceAll("\r\n", "\n").split("\n\n");
    this.rest = events.pop() ?? "";
    return events.map(dataOf).filter((data) => data !== "");
  }
}

function dataOf(event: string): string {
  return event
    .split("\n")
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5).replace(/^ /, ""))
    .join("\n");
}
