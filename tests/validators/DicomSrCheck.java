import com.pixelmed.validate.DicomSRValidator;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Validates every document named by an argument in one Java machine: compiling the templates costs seconds, once. */
class DicomSrCheck {
    public static void main(String[] paths) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        DicomSRValidator validator = new DicomSRValidator();
        for (String path : paths) {
            String said;
            try {
                said = validator.validate(path);
            } catch (Exception error) {
                said = "Error: " + error;
            }
            out.println("File: " + path);
            out.println(said.strip());
        }
    }
}
