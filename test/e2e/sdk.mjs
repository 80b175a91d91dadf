// Calls one operation with the AWS SDK for JavaScript, for what an installed AWS command line may be too old to know.
// Usage: node sdk.mjs SERVICE OPERATION INPUT, where INPUT is JSON in which members that end in Timestamp are dates. Prints the answer
// as JSON, or {"error": NAME, "message": TEXT}.

const [, , service, operation, text] = process.argv;
const client = await import(`@aws-sdk/client-${service}`);
const input = JSON.parse(text, (key, value) => (key.endsWith("Timestamp") ? new Date(value) : value));
const name = Object.keys(client).find((key) => /^KinesisVideo(ArchivedMedia)?Client$/.test(key));
const caller = new client[name]({ endpoint: process.env.AWS_ENDPOINT_URL, maxAttempts: 1 });
try {
  const { $metadata, ...answer } = await caller.send(new client[operation + "Command"](input));
  console.log(JSON.stringify(answer));
} catch (error) {
  if (!error.$metadata) throw error;
  console.log(JSON.stringify({ error: error.name, message: error.message }));
}
