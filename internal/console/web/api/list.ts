// Lists of the administration API, which come in pages.
import { weir } from './clients';

const most = 10; // pages that are shown at once: 10,000 entries

/** All entries of a list, as far as a page shows them. */
export async function all<T>(operation: string, list: string, input: object, abort: AbortSignal): Promise<T[]> {
  const entries: T[] = [];
  let NextToken: string | null | undefined;
  for (let i = 0; i < most; i += 1) {
    const page = await weir<Record<string, T[]> & { NextToken?: string | null }>(operation, { ...input, ...(NextToken && { NextToken }) }, abort);
    entries.push(...(page[list] ?? []));
    NextToken = page.NextToken;
    if (!NextToken) break;
  }
  return entries;
}
