package example;

import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.util.HashMap;
import java.util.Map;

/** Does what an event's "do" says: the behaviours of ../../cases.ts in Java. */
public class Handler implements RequestHandler<Map<String, Object>, Object> {
	private int count = 0;

	public Handler() {
		String init = System.getenv().getOrDefault("INIT", "");
		if (init.equals("error")) throw new Refused("told to fail at init");
		if (init.equals("exit")) System.exit(3);
	}

	@Override
	public Object handleRequest(Map<String, Object> event, Context context) {
		count++;
		String text = (String) event.get("text");
		switch ((String) event.get("do")) {
			case "echo":
				return event.get("value");
			case "nothing":
				return null;
			case "count":
				return count;
			case "length":
				return text.length();
			case "big":
				return "x".repeat(((Number) event.get("size")).intValue());
			case "context":
				return contextValues(context);
			case "error":
				throw new Refused("told to fail");
			case "panic":
				// After an error of the virtual machine itself the client reports it and stops.
				throw new StackOverflowError("told to panic");
			case "crash":
				Runtime.getRuntime().halt(134);
			case "exit":
				System.exit(((Number) event.get("code")).intValue());
			case "hang":
				return hang();
			case "log":
				log(text, context);
				return "logged";
			default:
				throw new Refused("no such action");
		}
	}

	private Object hang() {
		try {
			Thread.sleep(60_000);
		} catch (InterruptedException e) {
			Thread.currentThread().interrupt();
		}
		return null;
	}

	private void log(String text, Context context) {
		System.out.println(text + " to stdout");
		System.err.println(text + " to stderr");
		// In text the client writes a message as it is, without an end of line.
		String end = "JSON".equals(System.getenv("AWS_LAMBDA_LOG_FORMAT")) ? "" : "\n";
		context.getLogger().log(text + " at debug" + end, LogLevel.DEBUG);
		context.getLogger().log(text + " at info" + end, LogLevel.INFO);
		context.getLogger().log(text + " at error" + end, LogLevel.ERROR);
	}

	private Map<String, Object> contextValues(Context context) {
		Map<String, Object> values = new HashMap<>();
		values.put("requestId", context.getAwsRequestId());
		values.put("remainingMs", context.getRemainingTimeInMillis());
		values.put("functionArn", context.getInvokedFunctionArn());
		values.put("functionName", context.getFunctionName());
		values.put("functionVersion", context.getFunctionVersion());
		values.put("memoryMiB", context.getMemoryLimitInMB());
		values.put("logGroup", context.getLogGroupName());
		values.put("logStream", context.getLogStreamName());
		ClientContext client = context.getClientContext();
		values.put("appTitle", client == null ? null : client.getClient().getAppTitle());
		values.put("colour", client == null ? null : client.getCustom().get("colour"));
		values.put("traceId", System.getProperty("com.amazonaws.xray.traceHeader"));
		values.put("environment", System.getenv());
		return values;
	}
}
