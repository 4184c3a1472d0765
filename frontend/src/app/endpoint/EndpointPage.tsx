import { PageHeading } from "../../shared/ui/PageHeading";

export default function EndpointPage() {
  return <PageHeading title="Endpoint">Endpoint</PageHeading>;
}
