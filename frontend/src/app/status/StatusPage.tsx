import { useQuery } from "@tanstack/react-query";

import { StatusLoading, StatusView } from "../../features/status/StatusView";
import { ServerRefused, fetchHealth } from "../../shared/api";
import { Button } from "../../shared/ui/Button";
import { Notice } from "../../shared/ui/Notice";
import { PageHeading } from "../../shared/ui/PageHeading";
import { useCatalog } from "../../shared/useCatalog";

const REFRESH_MS = 10_000;

/** Whether the server and what it depends on work. */
export default function StatusPage() {
  const catalog = useCatalog();
  const { data, dataUpdatedAt, error, refetch } = useQuery({
    queryKey: ["health"],
    queryFn: ({ signal }) => fetchHealth(signal),
    refetchInterval: REFRESH_MS,
  });
  const titles = new Map(catalog.data?.apis.map(({ name, title }) => [name, title]));
  return (
    <div className="grid max-w-[760px] gap-6 pt-8">
      <PageHeading title="Status">Status</PageHeading>
      {error === null ? null : (
        <Notice
          look="bad"
          role="alert"
          title={
            error instanceof ServerRefused
              ? "The server could not tell its state"
              : "The server is not answering"
          }
          action={<Button onClick={() => void refetch()}>Try again</Button>}
        >
          What you have paid for is kept by the server, not by this page.
        </Notice>
      )}
      {data !== undefined ? (
        <StatusView health={data} checkedAt={dataUpdatedAt} titles={titles} />
      ) : error === null ? (
        <StatusLoading />
      ) : null}
    </div>
  );
}
