import com.pixelmed.dicom.Attribute;
import com.pixelmed.dicom.AttributeList;
import com.pixelmed.dicom.SequenceAttribute;
import com.pixelmed.dicom.TagFromName;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Prints four texts of each file named by an argument, each on its line, as PixelMed decodes them. */
class DicomText {
    public static void main(String[] paths) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String path : paths) {
            AttributeList read = new AttributeList();
            read.read(path);
            AttributeList code =
                SequenceAttribute.getAttributeListFromWithinSequenceWithSingleItem(read, TagFromName.ProcedureCodeSequence);
            out.println("File: " + path);
            out.println(Attribute.getDelimitedStringValuesOrEmptyString(read, TagFromName.PatientName));
            out.println(Attribute.getDelimitedStringValuesOrEmptyString(read, TagFromName.ReferringPhysicianName));
            out.println(Attribute.getDelimitedStringValuesOrEmptyString(read, TagFromName.StudyDescription));
            out.println(Attribute.getDelimitedStringValuesOrEmptyString(code, TagFromName.CodeMeaning));
        }
    }
}
