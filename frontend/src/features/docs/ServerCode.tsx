import { useQuery } from "@tanstack/react-query";

import { type CodeExample, fetchExamples } from "../../shared/api";
import { filledIn } from "../../shared/code";
import { Bone } from "../../shared/ui/Bone";
import { CodeBlock } from "../../shared/ui/CodeBlock";
import { useCatalog } from "../../shared/useCatalog";
import { useEndpoint } from "../../shared/useEndpoint";

interface CallCodeProps {
  /** Which of the programs of an endpoint. */
  readonly id: string;
}

/** A program that buys the first thing on sale, as the server tells it: it is run by a test before it is told. */
export function CallCode({ id }: CallCodeProps) {
  const { data: catalog } = useCatalog();
  const api = catalog?.apis.find(({ endpoints }) => endpoints.length > 0);
  const { data, error } = useEndpoint(api?.name, api?.endpoints[0]);
  return <Shown example={data?.examples.find((example) => example.id === id)} failed={error !== null} />;
}

/** A program that belongs to no endpoint. */
export function GuideCode({ id }: CallCodeProps) {
  const { data, error } = useQuery({
    queryKey: ["examples"],
    queryFn: ({ signal }) => fetchExamples(signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return <Shown example={data?.find((example) => example.id === id)} failed={error !== null} />;
}

interface ShownProps {
  readonly example: CodeExample | undefined;
  readonly failed: boolean;
}

function Shown({ example, failed }: ShownProps) {
  if (example === undefined) return failed ? null : <Bone className="h-64 rounded-card! bg-sunken!" />;
  const { code, language } = filledIn(example, location.origin, null);
  return (
    <div className="grid gap-2">
      <CodeBlock name={`${example.title} example`} code={code} language={language} />
      <p className="text-meta text-ink2">
        Needs <code className="font-mono">{example.needs}</code>.
      </p>
    </div>
  );
}
