import { Dialog as Base } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import { type ReactNode, type RefObject, useRef } from "react";

interface DialogProps {
  readonly open: boolean;
  readonly onClose: () => void;
  readonly title: string;
  /** A line under the title. */
  readonly about?: ReactNode;
  readonly children: ReactNode;
  /** Where the focus goes afterwards; without it, back to where it came from. */
  readonly finalFocus?: RefObject<HTMLElement | null>;
}

/** A layer over the page: a sheet from below on phones, a card in the middle elsewhere. Focus starts at its title. */
export function Dialog({ open, onClose, title, about, children, finalFocus }: DialogProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  return (
    <Base.Root open={open} onOpenChange={(next) => (next ? undefined : onClose())}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-40 bg-veil transition-opacity duration-150 data-ending-style:opacity-0 data-starting-style:opacity-0 motion-reduce:transition-none" />
        <Base.Viewport className="fixed inset-0 z-50 flex items-end justify-center overflow-y-auto sm:items-center sm:p-4">
          <Base.Popup
            initialFocus={heading}
            {...(finalFocus === undefined ? {} : { finalFocus })}
            className="w-full rounded-t-card border border-line bg-surface shadow-layer outline-none transition-[opacity,transform] duration-150 ease-out data-ending-style:translate-y-2 data-ending-style:opacity-0 data-starting-style:translate-y-2 data-starting-style:opacity-0 motion-reduce:transition-none sm:max-w-[416px] sm:rounded-card"
          >
            <div className="flex items-start justify-between gap-4 px-4 pt-3 sm:px-5 sm:pt-4">
              <div className="min-w-0 pt-1.5">
                <Base.Title
                  ref={heading}
                  tabIndex={-1}
                  className="text-title font-semibold tracking-tight outline-none"
                >
                  {title}
                </Base.Title>
                {about === undefined ? null : (
                  <Base.Description className="text-note wrap-anywhere text-ink2">{about}</Base.Description>
                )}
              </div>
              <Base.Close
                aria-label="Close"
                className="-mr-2 grid size-11 shrink-0 place-items-center rounded-control text-ink2 hover:bg-sunken hover:text-ink"
              >
                <X aria-hidden="true" className="size-5" strokeWidth={1.75} />
              </Base.Close>
            </div>
            <div className="px-4 pt-2 pb-4 sm:px-5 sm:pb-5">{children}</div>
          </Base.Popup>
        </Base.Viewport>
      </Base.Portal>
    </Base.Root>
  );
}
