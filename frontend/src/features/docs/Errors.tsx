import { ErrorTable } from "../../shared/ui/ErrorTable";
import { useErrors } from "../../shared/useErrors";
import { Code, P, Section } from "./Prose";

export default function Errors() {
  const { data, error } = useErrors();
  return (
    <>
      <Section id="shape" title="Their shape">
        <P>
          Every error is an object <Code>error</Code> with <Code>message</Code>, <Code>type</Code>,{" "}
          <Code>param</Code>, <Code>code</Code> and <Code>next_action</Code>: OpenAI's shape and one sentence
          more. Every answer has an <Code>X-Request-Id</Code> to report.
        </P>
      </Section>
      <Section id="money" title="And your sats">
        <P>
          No error charges anything. What was paid stays on its credential or token, and is good for the next
          try.
        </P>
      </Section>
      <Section id="all" title="All of them">
        <ErrorTable rows={data} failed={error !== null} />
      </Section>
    </>
  );
}
