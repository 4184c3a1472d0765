import { PageHeading } from "../../shared/ui/PageHeading";

export default function StatusPage() {
  return <PageHeading title="Status">Status</PageHeading>;
}
