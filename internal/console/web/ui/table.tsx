import type { ComponentChildren } from 'preact';

export interface Column<T> {
  title: string;
  render: (row: T) => ComponentChildren;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T) => string;
  /** What can be done with a row. */
  actions?: (row: T) => ComponentChildren;
}

/** A table that folds into cards where there is no room for it, and that keys can scroll. */
export function Table<T>({ label, columns, rows, keyOf, actions }: Props<T>) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- else no key scrolls it
    <div class="table-frame" role="region" aria-label={label} tabIndex={0}>
      <table class="table folds" aria-label={label}>
        <thead>
          <tr>
            {columns.map((c) => <th key={c.title} scope="col">{c.title}</th>)}
            {actions && <th scope="col"><span class="visually-hidden">Actions</span></th>}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((c) => <td key={c.title} data-label={c.title}>{c.render(row)}</td>)}
              {actions && <Actions>{actions(row)}</Actions>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The last cell of a row; an empty one is not shown where the table folds. */
function Actions({ children }: { children: ComponentChildren }) {
  return <td class="actions">{children ? <div>{children}</div> : null}</td>;
}
