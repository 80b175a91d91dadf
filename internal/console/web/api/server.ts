// What the page was told of the server that it came from.

function meta(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="weir-${name}"]`)?.content ?? '';
}

/** Region of signatures and ARNs. */
export const region = meta('region');
/** Account of ARNs. */
export const account = meta('account');
/** Where every call goes: the console's own origin, whatever the server advertises. */
export const origin = location.origin;
