import { PageHeading } from "../../shared/ui/PageHeading";

export default function DocsPage() {
  return <PageHeading title="Docs">Docs</PageHeading>;
}
