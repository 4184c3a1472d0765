import { Link } from "react-router";

import { Bone } from "../shared/ui/Bone";
import { SatsOwned } from "../shared/ui/Sats";
import { useBalance } from "../shared/wallet/balance";
import { changeMsat } from "../shared/wallet/funds";
import { useWallet } from "../shared/wallet/wallet";

const CHIP =
  "inline-flex min-h-11 items-center gap-1.5 rounded-control px-3 text-control font-medium whitespace-nowrap hover:bg-sunken";

/** What the visitor has: the balance of a token, else change, else the way to get one. */
export function AccountChip() {
  const owned = useWallet();
  const { data, isError } = useBalance(owned.token);
  if (owned.token !== null) {
    return (
      <Link to="/account" className={CHIP}>
        <span className="sr-only">Balance</span>
        {data === undefined ? <Unknown failed={isError} /> : <SatsOwned msat={data.available_msat} />}
      </Link>
    );
  }
  const change = changeMsat(owned);
  if (change > 0) {
    return (
      <Link to="/account" className={CHIP}>
        <span className="sr-only">Change</span>
        <SatsOwned msat={change} />
      </Link>
    );
  }
  return (
    <Link to="/topup" className={CHIP}>
      Top up
    </Link>
  );
}

function Unknown({ failed }: { readonly failed: boolean }) {
  return failed ? <>Account</> : <Bone className="h-4 w-16" />;
}
