package example;

public class Refused extends RuntimeException {
	public Refused(String message) {
		super(message);
	}
}
