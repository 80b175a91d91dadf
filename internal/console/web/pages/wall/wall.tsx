// The wall: live pictures of many cameras. The address holds which ones, and their layout.
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { go, href, place } from '../../router';
import { Button } from '../../ui/button';
import { Empty } from '../../ui/states';
import { Choose } from './choose';
import { bestColumns, type Layout, MOST_COLUMNS, readLayout, writeLayout } from './layout';
import { Tile } from './tile';

const FEW = 4; // pictures that may have a connection of HTTP/1.1 each: browsers have six to a server

// With HTTP/2 all share one connection.
const shared = (): boolean => {
  const [entry] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return entry !== undefined && entry.nextHopProtocol !== '' && !entry.nextHopProtocol.startsWith('http/1');
};

export default function WallPage() {
  const layout = readLayout(place.value.query);
  const choosing = useSignal(false);
  const gridRef = useRef<HTMLDivElement>(null);
  const fitting = useSignal(1);
  const count = layout.streams.length;

  useEffect(() => {
    const grid = gridRef.current;
    if (!grid) return undefined;
    const fit = (): void => {
      const { top, width } = grid.getBoundingClientRect();
      fitting.value = bestColumns(count, width, innerHeight - top - scrollY - 16);
    };
    const observer = new ResizeObserver(fit);
    observer.observe(grid);
    addEventListener('resize', fit);
    return () => {
      observer.disconnect();
      removeEventListener('resize', fit);
    };
  }, [count, fitting]);

  const set = (change: Partial<Layout>): void => go(href(['wall'], writeLayout({ ...layout, ...change })), true);
  const columns = layout.columns || fitting.value;
  return (
    <div class="page wide wall">
      <div class="page-head">
        <h1>Wall</h1>
        {count > 0 && (
          <label class="row small">
            <span class="soft">Columns</span>
            <select class="input columns" aria-label="Columns" value={String(layout.columns)} onChange={(e) => set({ columns: Number(e.currentTarget.value) })}>
              <option value="0">as they fit</option>
              {Array.from({ length: MOST_COLUMNS }, (_, i) => <option key={i} value={String(i + 1)}>{i + 1}</option>)}
            </select>
          </label>
        )}
        {count > 0 && <Button label="Full screen" icon="full" iconOnly onClick={() => { void gridRef.current?.requestFullscreen?.(); }} />}
        <Button label="Choose cameras" icon="camera" folds={count > 0} kind={count ? 'plain' : 'primary'} onClick={() => { choosing.value = true; }} />
      </div>
      {count === 0 ? (
        <Empty icon="wall" title="No camera is on this wall">
          <p>Choose some. The address of this page then holds the wall: keep it as a bookmark, or share it.</p>
        </Empty>
      ) : (
        <div ref={gridRef} class="wall-grid" style={{ '--columns': columns }}>
          {layout.streams.map((name) => (
            <Tile key={name} name={name} heard={layout.sound === name} parts={count <= FEW || shared()}
              onHear={(on) => set({ sound: on ? name : '' })}
              onRemove={() => set({ streams: layout.streams.filter((s) => s !== name) })} />
          ))}
        </div>
      )}
      {choosing.value && (
        <Choose chosen={layout.streams} onClose={() => { choosing.value = false; }} onChange={(streams) => set({ streams })} />
      )}
    </div>
  );
}
