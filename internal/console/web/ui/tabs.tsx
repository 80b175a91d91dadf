import type { ComponentChildren } from 'preact';
import { useId, useRef } from 'preact/hooks';

interface Props {
  label: string;
  names: string[];
  at: number;
  onChange: (at: number) => void;
  children: ComponentChildren;
}

/** Tabs, of which the arrow keys choose one (ARIA Authoring Practices Guide, "Tabs Pattern"). */
export function Tabs({ label, names, at, onChange, children }: Props) {
  const id = useId();
  const listRef = useRef<HTMLDivElement>(null);
  const choose = (next: number) => {
    const to = (next + names.length) % names.length;
    onChange(to);
    listRef.current?.querySelectorAll<HTMLElement>('[role=tab]')[to]?.focus();
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    choose(to);
  };
  return (
    <div class="stack tight">
      <div ref={listRef} class="tabs" role="tablist" aria-label={label} tabIndex={-1} onKeyDown={onKeyDown}>
        {names.map((name, i) => (
          <button key={name} type="button" role="tab" id={`${id}-${i}`} aria-selected={i === at} aria-controls={`${id}-panel`}
            tabIndex={i === at ? 0 : -1} onClick={() => onChange(i)}>
            {name}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${at}`}>{children}</div>
    </div>
  );
}
