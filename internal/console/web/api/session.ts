// Who is signed in. A key is exchanged at once for temporary credentials and forgotten. They stay in
// this tab's memory, or in its session storage if the user said so.
import { GetCallerIdentityCommand, GetSessionTokenCommand, STSClient } from '@aws-sdk/client-sts';
import { effect, signal } from '@preact/signals';
import { origin, region } from './server';
import { awaySince, handler, returns } from './transport';
import { go } from '../router';
import { isNetworkError, isSignedOut } from './errors';

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
  expiration: Date;
}

/** Names of a principal, such as arn:aws:iam::000000000000:user/guard. */
export interface Identity {
  arn: string;
  /** The last step of the ARN. */
  name: string;
}

export type Session =
  | { state: 'starting' }
  | { state: 'out'; reason: string } // reason is '' when nothing happened
  | { state: 'in'; credentials: Credentials; identity: Identity };

export const session = signal<Session>({ state: 'starting' });

const stored = 'weir-session';
const farewell = 'weir-signed-out'; // why the session ended, for the page after it
const longest = 12 * 3600; // seconds; the server gives a root key an hour

function sts(credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }) {
  return new STSClient({ region, endpoint: origin, credentials, requestHandler: handler, maxAttempts: 1 });
}

/** The credentials of the moment; throws when nobody is signed in. */
export async function credentials(): Promise<Credentials> {
  const now = session.peek();
  if (now.state !== 'in') throw new Error('Nobody is signed in.');
  return now.credentials;
}

/** Exchanges a key for temporary credentials. The error is the server's. */
export async function signIn(accessKeyId: string, secretAccessKey: string, keep: boolean): Promise<void> {
  const { Credentials: made } = await sts({ accessKeyId, secretAccessKey })
    .send(new GetSessionTokenCommand({ DurationSeconds: longest }));
  await enter({
    accessKeyId: made!.AccessKeyId!,
    secretAccessKey: made!.SecretAccessKey!,
    sessionToken: made!.SessionToken!,
    expiration: made!.Expiration!,
  }, keep);
}

/**
 * Ends the session in this tab; reason says why, when it was not the user. The page is loaded anew as soon as the
 * server can be reached: the AWS clients keep credentials, and pages what they showed, for as long as it lives.
 */
export function signOut(reason = ''): void {
  if (session.peek().state !== 'in') return;
  sessionStorage.removeItem(stored);
  sessionStorage.setItem(farewell, reason);
  clearTimeout(timer);
  session.value = awaySince.peek() === null ? { state: 'starting' } : { state: 'out', reason };
  effect(() => {
    if (awaySince.value === null) location.reload();
  });
}

/** Ends the session if an error says that its credentials open nothing any more. */
export function noteError(error: unknown): void {
  if (session.peek().state === 'in' && isSignedOut(error)) {
    signOut('Your session is over: its credentials were refused. Sign in again.');
  }
}

let timer = 0;

// What a tab keeps over a reload. The ARN spares a call at the start; the first call of a page tells whether the
// credentials still open anything.
interface Kept extends Credentials {
  arn?: string;
}

async function enter({ arn: known, ...credentials }: Kept, keep: boolean): Promise<void> {
  const arn = known ?? (await sts(credentials).send(new GetCallerIdentityCommand({}))).Arn ?? '';
  if (keep) sessionStorage.setItem(stored, JSON.stringify({ ...credentials, arn }));
  clearTimeout(timer);
  timer = setTimeout(() => signOut('Your session is over. Sign in again.'),
    Math.min(credentials.expiration.getTime() - Date.now(), 2 ** 31 - 1));
  session.value = {
    state: 'in',
    credentials,
    identity: { arn, name: arn.split(/[/:]/).pop() || arn },
  };
}

/** Credentials as JSON has them, or null. */
function parse(text: string | null): Kept | null {
  if (!text) return null;
  const c = JSON.parse(text) as Kept;
  return { ...c, expiration: new Date(c.expiration) };
}

/** Exchanges the code of a one-time link, which weir open makes. */
async function redeem(code: string): Promise<Credentials> {
  const answer = await fetch('console/sign-in', { method: 'POST', body: code });
  if (!answer.ok) {
    throw new Error('This link has been used, or its time is over. Make another with "weir open".');
  }
  const c = await answer.json() as Record<string, string>;
  return {
    accessKeyId: c['AccessKeyId']!,
    secretAccessKey: c['SecretAccessKey']!,
    sessionToken: c['SessionToken']!,
    expiration: new Date(c['Expiration']!),
  };
}

// When a one-time link is opened in a tab that shows the console, the browser changes only what is after the #.
addEventListener('hashchange', () => {
  if (location.hash.startsWith('#sign-in=')) location.reload();
});

/** Begins with what a one-time link or the tab's storage has. */
export async function begin(): Promise<void> {
  const [, code, rest] = /^#sign-in=([\w-]+)(.*)$/s.exec(location.hash) ?? [];
  // before anything else: the address is what people copy and what the history keeps
  if (code) {
    go(`#${rest}`, true);
    sessionStorage.removeItem(stored); // of the user before
  }
  const reason = sessionStorage.getItem(farewell) ?? '';
  sessionStorage.removeItem(farewell);
  try {
    const found = code ? await redeem(code) : parse(sessionStorage.getItem(stored));
    if (found) await enter(found, !code);
    else session.value = { state: 'out', reason };
  } catch (error) {
    if (isNetworkError(error) && !code) {
      const stop = returns.subscribe((n) => {
        if (n > 0 && awaySince.peek() === null) {
          stop();
          void begin();
        }
      });
      return;
    }
    sessionStorage.removeItem(stored);
    session.value = { state: 'out', reason: code ? (error as Error).message : 'Your session is over. Sign in again.' };
  }
}
