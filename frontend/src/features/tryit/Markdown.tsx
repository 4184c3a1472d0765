import { memo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import rehypeSanitize from "rehype-sanitize";
import remarkGfm from "remark-gfm";

// A picture in an answer could make the browser call any host: it becomes a link.
const COMPONENTS: Components = {
  a: ({ href, children }) => (
    <a
      href={href}
      target="_blank"
      rel="noopener noreferrer nofollow"
      className="underline underline-offset-4"
    >
      {children}
    </a>
  ),
  img: ({ src, alt }) => (
    <a
      href={typeof src === "string" ? src : undefined}
      target="_blank"
      rel="noopener noreferrer nofollow"
      className="underline underline-offset-4"
    >
      {alt || "picture"}
    </a>
  ),
  // Both scroll, so both can be reached by keyboard.
  pre: ({ children }) => (
    <section tabIndex={0} aria-label="Code" className="overflow-x-auto rounded-control bg-sunken p-3">
      <pre className="font-mono text-meta">{children}</pre>
    </section>
  ),
  table: ({ children }) => (
    <section tabIndex={0} aria-label="Table" className="overflow-x-auto">
      <table className="border-collapse text-note [&_td]:border [&_td]:border-line [&_td]:px-3 [&_td]:py-1.5 [&_th]:border [&_th]:border-line [&_th]:px-3 [&_th]:py-1.5 [&_th]:text-left">
        {children}
      </table>
    </section>
  ),
  // The page has its own headings; those of an answer stand below them.
  h1: ({ children }) => <h4 className="font-semibold">{children}</h4>,
  h2: ({ children }) => <h4 className="font-semibold">{children}</h4>,
  h3: ({ children }) => <h5 className="font-semibold">{children}</h5>,
};

const PARAGRAPHS =
  "grid gap-3 wrap-anywhere [&_code]:font-mono [&_code]:text-[0.9em] [&_li]:ml-5 [&_ol]:list-decimal [&_ul]:list-disc";

/** An answer's markdown, without anything that could run or call out. Whole paragraphs are not parsed again. */
export default function Markdown({ text }: { readonly text: string }) {
  return (
    <div className={PARAGRAPHS}>
      {blocksOf(text).map((block, index) => (
        // A block that is complete never changes and never moves.
        // oxlint-disable-next-line react/no-array-index-key
        <Block key={index} text={block} />
      ))}
    </div>
  );
}

const Block = memo(function Block({ text }: { readonly text: string }) {
  return (
    <ReactMarkdown remarkPlugins={[remarkGfm]} rehypePlugins={[rehypeSanitize]} components={COMPONENTS}>
      {text}
    </ReactMarkdown>
  );
});

/** The text at its blank lines, except inside of a fence and between the items of a list. */
export function blocksOf(text: string): string[] {
  const blocks: string[] = [];
  let fenced = false;
  for (const part of text.split(/\n{2,}/)) {
    const last = blocks.at(-1);
    const goesOn = fenced || /^( {2,}|\t|[-*+] |\d+[.)] )/.test(part);
    if (last !== undefined && goesOn) blocks[blocks.length - 1] = `${last}\n\n${part}`;
    else blocks.push(part);
    if ((part.match(/^ {0,3}(```|~~~)/gm) ?? []).length % 2 === 1) fenced = !fenced;
  }
  return blocks;
}
