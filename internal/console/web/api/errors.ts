// Errors of calls in words.

interface CallError {
  name?: string;
  message?: string;
  Message?: string;
  $metadata?: { httpStatusCode?: number };
}

/** The name that the service gives an error, such as ResourceNotFoundException; '' of others. */
export function nameOf(error: unknown): string {
  return (error as CallError)?.$metadata?.httpStatusCode ? ((error as CallError).name ?? '') : '';
}

/** The server did not answer at all. */
export function isNetworkError(error: unknown): boolean {
  return error instanceof TypeError && !nameOf(error);
}

/** The page gave up the request itself. */
export function isAborted(error: unknown): boolean {
  return (error as CallError)?.name === 'AbortError';
}

/** The caller may not do it. */
export function isRefused(error: unknown): boolean {
  return ['AccessDeniedException', 'NotAuthorizedException', 'AccessDenied'].includes(nameOf(error));
}

/** The server answered 403: the caller may not do it, or is not believed. */
export function isForbidden(error: unknown): boolean {
  return (error as CallError)?.$metadata?.httpStatusCode === 403;
}

/** The credentials themselves were refused. */
export function isSignedOut(error: unknown): boolean {
  return ['ExpiredToken', 'ExpiredTokenException', 'InvalidClientTokenId', 'UnrecognizedClientException']
    .includes(nameOf(error));
}

/** A text with a full stop, unless it ends a sentence already. */
export const sentence = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`);

/** What went wrong, for people: the server's own words where it has some. */
export function words(error: unknown): string {
  const e = error as CallError;
  const said = e?.Message || e?.message || '';
  if (isNetworkError(error)) return 'The server cannot be reached.';
  if (isRefused(error)) {
    const action = /not authorized to perform: (\S+)/.exec(said)?.[1];
    return action ? `You may not do this: no policy allows you ${action}.` : `You may not do this. ${sentence(said)}`;
  }
  switch (nameOf(error)) {
    case 'InvalidClientTokenId':
    case 'UnrecognizedClientException':
      return 'The server does not know this access key.';
    case 'SignatureDoesNotMatch':
      return 'The secret access key is not the one of this access key.';
    case 'ResourceNotFoundException':
      return /stream is not found/.test(said) ? 'There is no such stream. It was deleted, or it has another name.' : sentence(said || 'It is not there any more');
    case 'RequestExpired':
    case 'RequestTimeTooSkewed':
      return 'The clock of this computer is too far from the server’s.';
    case 'ThrottlingException':
    case 'ClientLimitExceededException':
      return 'Too many requests at a time. Try again in a moment.';
    case 'ServiceUnavailable':
      return sentence(said || 'The server cannot do this now');
    default:
      return sentence(said || 'Something went wrong');
  }
}
