import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

interface Props<T> {
  label: string;
  items: T[];
  /** Height of every row, pixels. */
  rowHeight: number;
  /** Least width of a row, pixels: where there is room for more, rows stand beside one another. */
  rowWidth: number;
  keyOf: (item: T) => string;
  render: (item: T) => ComponentChildren;
  /** Is called with what is in sight, and a little more, whenever that changes. */
  onSight?: (items: T[]) => void;
}

const more = 4; // rows above and below what is in sight

/** A list of rows of one height, of which only those in sight exist. The window scrolls. */
export function VirtualList<T>({ label, items, rowHeight, rowWidth, keyOf, render, onSight }: Props<T>) {
  const listRef = useRef<HTMLUListElement>(null);
  const [first, setFirst] = useState(0);
  const [lines, setLines] = useState(40);
  const [columns, setColumns] = useState(1);

  useLayoutEffect(() => {
    const measure = () => {
      const { top, width } = listRef.current!.getBoundingClientRect();
      setFirst(Math.max(0, Math.floor(-top / rowHeight) - more));
      setLines(Math.ceil(innerHeight / rowHeight) + 2 * more);
      setColumns(Math.max(1, Math.floor(width / rowWidth)));
    };
    measure();
    addEventListener('scroll', measure, { passive: true });
    addEventListener('resize', measure);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
    };
  }, [rowHeight, rowWidth, items.length]);

  const height = Math.ceil(items.length / columns);
  const from = Math.min(first, Math.max(0, height - lines)) * columns;
  const shown = items.slice(from, from + lines * columns);
  const seen = shown.map(keyOf).join('\n');
  useLayoutEffect(() => {
    onSight?.(shown);
    // the keys tell whether what is in sight has changed
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [seen]);

  return (
    <ul ref={listRef} class="virtual" aria-label={label} style={{ height: `${height * rowHeight}px` }}>
      {shown.map((item, i) => (
        <li key={keyOf(item)} aria-setsize={items.length} aria-posinset={from + i + 1}
          style={{
            height: `${rowHeight}px`, width: `${100 / columns}%`, left: `${((i % columns) * 100) / columns}%`,
            transform: `translateY(${Math.floor((from + i) / columns) * rowHeight}px)`,
          }}>
          {render(item)}
        </li>
      ))}
    </ul>
  );
}
