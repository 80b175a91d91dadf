/** The name, with its mark: water over a weir. */
export function Brand() {
  return (
    <>
      <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true">
        <path d="M2 8c2.500-3 5-3 7.500 0v8c2.500 3 5 3 12.500 0" />
        <path d="M14 16c3 2 5 2 8-1M2 12c2-2 3.500-2 5-1" opacity=".6" />
      </svg>
      <span>Weir</span>
    </>
  );
}
