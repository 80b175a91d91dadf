// What the address of a wall says: which streams, in how many columns, and which one is heard.

export interface Layout {
  streams: string[];
  columns: number; // 0: as many as fit
  sound: string; // '' for none
}

export const MOST = 64; // streams on a wall
export const MOST_COLUMNS = 8;

/** Reads a layout; what cannot be read is left out. */
export function readLayout(query: URLSearchParams): Layout {
  const streams = [...new Set(query.getAll('s').filter((name) => /^[a-zA-Z0-9_.-]{1,256}$/.test(name)))].slice(0, MOST);
  const columns = Number(query.get('cols'));
  const sound = query.get('sound') ?? '';
  return {
    streams,
    columns: Number.isInteger(columns) && columns > 0 && columns <= MOST_COLUMNS ? columns : 0,
    sound: streams.includes(sound) ? sound : '',
  };
}

/** The query of a layout. */
export function writeLayout(layout: Layout): URLSearchParams {
  const query = new URLSearchParams(layout.streams.map((name) => ['s', name]));
  if (layout.columns) query.set('cols', String(layout.columns));
  if (layout.sound && layout.streams.includes(layout.sound)) query.set('sound', layout.sound);
  return query;
}

/** Columns with which so many pictures of 16:9 are largest in a space. */
export function bestColumns(count: number, width: number, height: number): number {
  let best = 1;
  let largest = 0;
  for (let columns = 1; columns <= Math.min(count, MOST_COLUMNS); columns += 1) {
    const rows = Math.ceil(count / columns);
    const tile = Math.min(width / columns, (height / rows) * (16 / 9));
    if (tile > largest + 0.5) {
      largest = tile;
      best = columns;
    }
  }
  // where a picture would be too small to see anything, the wall is scrolled instead
  return Math.max(1, Math.min(best, Math.floor(width / 220) || 1));
}
