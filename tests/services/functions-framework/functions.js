// Two functions as one writes them for Cloud Run functions; FUNCTION_TARGET says which one a service is.
const functions = require("@google-cloud/functions-framework");

functions.http("hello", (request, response) => {
	response.set("x-signature", process.env.FUNCTION_SIGNATURE_TYPE ?? "");
	response.send(`Hello ${request.query.name ?? request.body?.name ?? "World"}!`);
});

let last = null;
functions.cloudEvent("receive", (event) => {
	if (event.type === "com.example.refused") throw new Error("told to refuse");
	last = { id: event.id, type: event.type, source: event.source, subject: event.subject, data: event.data };
	console.log(JSON.stringify({ received: last }));
});
