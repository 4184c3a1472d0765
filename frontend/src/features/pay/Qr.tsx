import { QRCodeSVG } from "qrcode.react";

const SIZE_PX = 240;
const QUIET_MODULES = 4;

interface QrProps {
  readonly bolt11: string;
  readonly sats: number;
}

/** The invoice to scan. Upper case makes a coarser code; white in the dark theme too, with the standard's quiet zone. */
export function Qr({ bolt11, sats }: QrProps) {
  return (
    <a
      href={`lightning:${bolt11}`}
      className="mx-auto block w-fit overflow-hidden rounded-control border border-line bg-[#fff]"
    >
      <QRCodeSVG
        value={`LIGHTNING:${bolt11.toUpperCase()}`}
        size={SIZE_PX}
        level="L"
        marginSize={QUIET_MODULES}
        title={`QR code of the Lightning invoice, ${sats} sats`}
      />
    </a>
  );
}

/** Its place while the invoice is made. */
export function QrSkeleton() {
  return (
    <div className="grid min-h-[428px] content-start justify-items-center pt-4">
      <span aria-hidden="true" className="block size-60 rounded-control border border-line bg-sunken" />
      <p className="mt-4 text-note text-ink2">Making an invoice</p>
    </div>
  );
}
