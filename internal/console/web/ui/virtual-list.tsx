import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

interface Props<T> {
  label: string;
  items: T[];
  /** Height of every row, pixels. */
  rowHeight: number;
  keyOf: (item: T) => string;
  render: (item: T) => ComponentChildren;
  /** Told what is in sight, and a little more, whenever that changes. */
  onSight?: (items: T[]) => void;
}

const more = 8; // rows above and below what is in sight

/** A list of rows of one height, of which only those in sight exist. The window scrolls. */
export function VirtualList<T>({ label, items, rowHeight, keyOf, render, onSight }: Props<T>) {
  const listRef = useRef<HTMLUListElement>(null);
  const [first, setFirst] = useState(0);
  const [count, setCount] = useState(40);

  useLayoutEffect(() => {
    const measure = () => {
      const top = listRef.current!.getBoundingClientRect().top;
      setFirst(Math.max(0, Math.floor(-top / rowHeight) - more));
      setCount(Math.ceil(innerHeight / rowHeight) + 2 * more);
    };
    measure();
    addEventListener('scroll', measure, { passive: true });
    addEventListener('resize', measure);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
    };
  }, [rowHeight, items.length]);

  const from = Math.min(first, Math.max(0, items.length - count));
  const shown = items.slice(from, from + count);
  const seen = shown.map(keyOf).join('\n');
  useLayoutEffect(() => {
    onSight?.(shown);
    // what is in sight is told by its keys
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [seen]);

  return (
    <ul ref={listRef} class="virtual" aria-label={label} style={{ height: `${items.length * rowHeight}px` }}>
      {shown.map((item, i) => (
        <li key={keyOf(item)} aria-setsize={items.length} aria-posinset={from + i + 1}
          style={{ height: `${rowHeight}px`, transform: `translateY(${(from + i) * rowHeight}px)` }}>
          {render(item)}
        </li>
      ))}
    </ul>
  );
}
